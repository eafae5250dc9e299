-- +goose Up
-- The incident a finding belongs to; empty: none.
alter table finding add column incident text not null default '';
create index finding_incident on finding (incident) where incident <> '';

-- +goose Down
drop index finding_incident;
alter table finding drop column incident;
