"""Two clinics with three people, as the tests of single tables begin."""

TWO_CLINICS = """
CREATE TABLE clinica (id int PRIMARY KEY, nombre text);
CREATE TABLE persona (id int PRIMARY KEY, clinica_id int NOT NULL REFERENCES clinica);
INSERT INTO clinica VALUES (1, 'Uno'), (2, 'Dos');
INSERT INTO persona VALUES (11, 1), (12, 1), (21, 2);
"""
