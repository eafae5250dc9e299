-- +goose Up
-- +goose StatementBegin
create function audit_refuse() returns trigger language plpgsql as $$
begin raise exception 'the audit log is append-only'; end $$;
-- +goose StatementEnd
create trigger audit_no_change before update or delete or truncate on audit
	for each statement execute function audit_refuse();

-- +goose Down
drop trigger audit_no_change on audit;
drop function audit_refuse();
