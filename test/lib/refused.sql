-- For tests of what definitions are refused for.
-- One refusal, as lines: state and message, DETAIL, HINT, and where in the definition a condition stands.
CREATE FUNCTION refused(definition json) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  state text; message text; detail text; hint text; context text;
BEGIN
  PERFORM mfiauto.create_workflow('w', definition);
  RETURN NEXT 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
  RETURN NEXT format('%s %s', state, message);
  RETURN QUERY SELECT format('  %s', l) FROM unnest(ARRAY[detail, hint]) WITH ORDINALITY AS u(l, n) WHERE l <> '' ORDER BY n;
  RETURN QUERY SELECT format('  (%s)', l) FROM regexp_split_to_table(context, E'\n') l WHERE l ~ '^(condition|expression) at';
END $$;
