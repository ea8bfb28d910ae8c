DROP INDEX pushes_held;
