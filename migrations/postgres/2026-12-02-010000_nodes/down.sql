DROP TABLE shards;
DROP TABLE nodes;
