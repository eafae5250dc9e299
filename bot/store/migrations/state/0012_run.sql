-- +goose Up
create table run (
	id           text   primary key,
	recipe       text   not null,
	subject      text   not null, -- Run.Key
	step         text   not null,
	data         text   not null,
	gate         text   not null,
	gate_version bigint not null,
	outcome      text   not null, -- empty: live
	due          bigint not null, -- 0: parked
	entered      bigint not null,
	tries        bigint not null,
	trouble      text   not null,
	owner        text   not null, -- empty: nobody holds the lease
	token        bigint not null,
	beat         bigint not null, -- grows with each sign of life of the owner
	lease_until  bigint not null, -- by the database's clock; PostgreSQL only
	version      bigint not null,
	announced    bigint not null,
	announce_at  bigint not null,
	created      bigint not null,
	updated      bigint not null,
	ended        bigint not null
);
create unique index run_live on run (subject) where outcome = '' and subject <> '';
create index run_due on run (due) where outcome = '';
create index run_untold on run (announce_at) where announced < version;
create index run_updated on run (updated);

create table run_act (
	run        text   not null references run (id),
	name       text   not null,
	seq        bigint not null,
	state      text   not null,
	request    text   not null,
	result     text   not null,
	why        text   not null,
	retry      bigint not null,
	looks      bigint not null,
	planned    bigint not null,
	sent       bigint not null,
	first_look bigint not null,
	over       bigint not null,
	primary key (run, name)
);

create table run_slot (
	name text   not null,
	run  text   not null references run (id),
	seq  bigint not null,
	primary key (name, run)
);
-- Whoever takes slots locks this row first.
create table run_slot_turn (
	one bigint primary key check (one = 1),
	n   bigint not null
);
insert into run_slot_turn (one, n) values (1, 0);

-- +goose Down
drop table run_slot_turn;
drop table run_slot;
drop table run_act;
drop table run;
