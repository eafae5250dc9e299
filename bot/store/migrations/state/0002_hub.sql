-- +goose Up
-- hash is the SHA-256 of what the bearer holds; bound is JSON.
create table token (
	id text primary key,
	hash text not null unique,
	name text not null,
	kind text not null,
	droplet text not null,
	tag text not null,
	created bigint not null,
	revoked bigint not null,
	bound text not null
);

-- Orders for agents, by their key. body and result are JSON; result is ''
-- before there is one.
create table agent_order (
	id text primary key,
	droplet text not null,
	state text not null,
	placed bigint not null,
	not_after bigint not null,
	claimed bigint not null,
	body text not null,
	result text not null
);
create index agent_order_waiting on agent_order (droplet, placed) where state = 'waiting';

-- +goose Down
drop table agent_order;
drop table token;
