-- +goose Up
-- Where a reader of the outside stands, by name.
create table cursor_at (
	name text primary key,
	position text not null,
	updated bigint not null
);

-- +goose Down
drop table cursor_at;
