-- +goose Up
-- What arrived and is not folded yet. Only the key is written differently on
-- the two engines.
create table push (
	seq integer primary key autoincrement,
	droplet text not null,
	arrived bigint not null,
	first bigint not null,
	last bigint not null,
	body bytea not null
);
create index push_by_droplet on push (droplet, arrived);

-- +goose Down
drop table push;
