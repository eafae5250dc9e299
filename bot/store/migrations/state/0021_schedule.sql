-- +goose Up
create table fire (
	job     text   primary key,
	spec    text   not null,
	next_at bigint not null
);

-- +goose Down
drop table fire;
