-- +goose Up
-- The time that was claimed and is not settled yet (0: none), and until when
-- whoever claimed it has it.
alter table fire add column due_at bigint not null default 0;
alter table fire add column until_at bigint not null default 0;

-- +goose Down
alter table fire drop column until_at;
alter table fire drop column due_at;
