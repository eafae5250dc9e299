-- +goose Up
-- Two hours (resolution 0) or a day in steps of five minutes (1) of a series.
create table chunk (
	series bigint not null,
	resolution bigint not null,
	start bigint not null,
	last bigint not null,
	body bytea not null,
	primary key (series, resolution, start)
);

-- The compare-and-set token of folding, by droplet.
create table fold (
	droplet text primary key,
	token bigint not null
);

-- When each droplet (worker '') and worker was last heard of, by source.
-- step is the time between its samples of late, ms.
create table presence (
	droplet text not null,
	worker text not null,
	source text not null,
	last bigint not null,
	step bigint not null,
	primary key (droplet, worker, source)
);

-- +goose Down
drop table presence;
drop table fold;
drop table chunk;
