DROP TABLE grants;
DROP TABLE authorizations;
DROP TABLE operator_audit;
DROP TABLE apps;
