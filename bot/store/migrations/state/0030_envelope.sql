-- +goose Up
-- What Slack sent, until it is worked off. Done ones stay for a day, so that
-- a repeated delivery is known.
create table envelope (
	id       text   primary key,
	received bigint not null,
	body     text   not null,
	tries    bigint not null default 0,
	owner    text   not null default '',
	until    bigint not null default 0,
	done     bigint not null default 0
);
create index envelope_waiting on envelope (received) where done = 0;

-- +goose Down
drop table envelope;
