-- +goose Up
-- The hash-chained record; rows are only ever added (0011).
create table audit (
	seq     bigint primary key,
	at      bigint not null,
	who     text   not null,
	what    text   not null,
	run     text   not null,
	subject text   not null,
	why     text   not null,
	was     text   not null,
	became  text   not null,
	prev    text   not null,
	hash    text   not null
);
create index audit_run on audit (run, seq);
-- The end of the chain: whoever appends locks this row first.
create table audit_head (
	one  bigint primary key check (one = 1),
	seq  bigint not null,
	hash text   not null
);
insert into audit_head (one, seq, hash) values (1, 0, '');

-- +goose Down
drop table audit;
drop table audit_head;
