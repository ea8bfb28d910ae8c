DROP TABLE usage_progress;
DROP TABLE usage_days;
