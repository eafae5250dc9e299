-- +goose Up
-- Who began to tell of a run and is not known to have ended, and when it is
-- told once more because of that.

alter table run add column telling text    not null default '';
alter table run add column echo_at bigint  not null default 0;
alter table run add column echoes  bigint  not null default 0;
create index run_echo on run (echo_at) where echo_at > 0;

-- +goose Down
drop index run_echo;
alter table run drop column echoes;
alter table run drop column echo_at;
alter table run drop column telling;
