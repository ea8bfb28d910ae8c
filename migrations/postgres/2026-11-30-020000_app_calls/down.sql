DROP TABLE app_calls;
