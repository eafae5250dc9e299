-- +goose Up
-- Each distinct label set once. labels is its canonical JSON; touched says
-- when it was last known to be written, to half a day.
create table series (
	id bigint primary key,
	labels text not null unique,
	name text not null,
	droplet text not null,
	worker text not null,
	owner text not null,
	touched bigint not null
);
create index series_by_droplet on series (droplet, name);
create index series_by_name on series (name);
create index series_by_owner on series (owner);

-- Hands out series ids; one row.
create table series_counter (
	one bigint primary key,
	last bigint not null
);
insert into series_counter (one, last) values (1, 0);

-- +goose Down
drop table series_counter;
drop table series;
