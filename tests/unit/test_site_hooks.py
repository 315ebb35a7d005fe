"""A name on the site is kept in one piece, or breaks where a reader expects it."""

from __future__ import annotations

from tools.site_hooks import on_page_content, with_breaks


def test_a_short_name_has_no_place_to_break() -> None:
    assert with_breaks("lock_store_deadline") == "lock_store_deadline"


def test_a_long_name_breaks_after_a_dot_or_an_underscore() -> None:
    broken = with_breaks("celery_lock.beat.LockedScheduler")

    assert broken == "celery_<wbr>lock.<wbr>beat.<wbr>LockedScheduler"


def test_each_word_of_code_is_a_name() -> None:
    shown = on_page_content("<p>so <code>pip install x</code></p>")

    assert shown.count('<span class="name">') == 3


def test_a_package_is_kept_in_one_piece_in_text_and_once_in_code() -> None:
    shown = on_page_content("<p>celery-once and <code>celery-once</code></p>")

    assert shown.count('<span class="name">celery-once</span>') == 2
    assert shown.count("<span") == 2


def test_blocks_of_code_are_left_alone() -> None:
    block = "<pre><span></span><code>lock_store = 1\n</code></pre>"

    assert on_page_content(block) == block
