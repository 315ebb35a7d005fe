"""The view: notes the charge, and sends the task when that is committed."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from .models import Account
from .tasks import take_points


@require_POST
def charge(request: HttpRequest, account_id: int) -> JsonResponse:
    """Charge `amount` points; answers at once, 202."""
    account = get_object_or_404(Account, pk=account_id)
    with transaction.atomic():
        made = account.charge_set.create(amount=int(request.POST["amount"]))
        # not delay(): a worker could look for the charge before it is there
        take_points.delay_on_commit(account.pk, made.pk)
    return JsonResponse({"charge": made.pk}, status=202)
