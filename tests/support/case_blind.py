"""A text type that does not tell cases apart, as citext is, made of what every server has."""

from typing import Final

# Its operators are where Supabase puts an extension's: outside of any search path. Like citext it becomes text by
# itself, so that `=` finds the operator of texts there, and quietly tells `a` from `A`.
CASE_BLIND: Final = """
CREATE SCHEMA extensions;
CREATE TYPE extensions.citexto;
CREATE FUNCTION extensions.entra(cstring) RETURNS extensions.citexto LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION extensions.sale(extensions.citexto) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE extensions.citexto (INPUT = extensions.entra, OUTPUT = extensions.sale, LIKE = text, COLLATABLE = true);
CREATE CAST (extensions.citexto AS text) WITHOUT FUNCTION AS IMPLICIT;
DO $$ DECLARE op record; BEGIN
    FOR op IN SELECT * FROM (VALUES ('lt', '<'), ('le', '<='), ('eq', '='), ('ge', '>='), ('gt', '>')) AS o(f, s) LOOP
        EXECUTE format('CREATE FUNCTION extensions.%s(extensions.citexto, extensions.citexto) RETURNS bool'
            ' LANGUAGE sql IMMUTABLE STRICT AS ''SELECT lower($1::text) %s lower($2::text)''', op.f, op.s);
        EXECUTE format('CREATE OPERATOR extensions.%s (FUNCTION = extensions.%s, LEFTARG = extensions.citexto,'
            ' RIGHTARG = extensions.citexto%s)', op.s, op.f,
            CASE op.s WHEN '=' THEN ', COMMUTATOR = OPERATOR(extensions.=), MERGES' ELSE '' END);
    END LOOP;
END $$;
CREATE FUNCTION extensions.compara(extensions.citexto, extensions.citexto) RETURNS int LANGUAGE sql IMMUTABLE STRICT
    AS 'SELECT pg_catalog.bttextcmp(lower($1::text), lower($2::text))';
CREATE OPERATOR CLASS extensions.citexto_ops DEFAULT FOR TYPE extensions.citexto USING btree AS
    OPERATOR 1 extensions.<, OPERATOR 2 extensions.<=, OPERATOR 3 extensions.=, OPERATOR 4 extensions.>=,
    OPERATOR 5 extensions.>, FUNCTION 1 extensions.compara(extensions.citexto, extensions.citexto);
"""
