CREATE TABLE celery_lock (
    name  text COLLATE "C" PRIMARY KEY,
    value text NOT NULL,
    ends  bigint NOT NULL  -- microseconds since 1970; after that the row may be deleted
);
CREATE INDEX ON celery_lock (ends);
