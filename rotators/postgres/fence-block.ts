/**
 * The body of the fence's `DO` block; `changeLogin` declares its constants. It has states of its own: KT001 superseded, KT002
 * conflict, KT003 not managed, KT004 unfit surroundings, KT005 the login must be cleared first, KT006 unfit password.
 *
 * A legacy login is one that was there before Keyturn and has been imported: it is never made, nothing of it is changed but whether it
 * may log in and by which password, and only its mark says that it is ours.
 *
 * It runs READ COMMITTED: under a stricter isolation, a block that had to wait for the lock would decide by what was there before.
 */
export const fenceBlock = String.raw`
  marked constant text := '\[keyturn v1 (set|clear|retire) epoch=(\d+) fingerprint=([^ \]]*) rotation=([^ \]]*) secret=([^ \]]*) installation=([^ \]]*) seen=(\d+)\]';
  listed constant text[] := '{search_path,temp_tablespaces,local_preload_libraries,session_preload_libraries}';
  owner_role pg_roles%ROWTYPE;
  login pg_roles%ROWTYPE;
  sibling pg_roles%ROWTYPE;
  setting record;
  exists_already boolean;
  same_epoch boolean;
  same_value boolean;
  remark text := '';
  mark text[];
  wanted text[];
  command text;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION USING ERRCODE = 'KT004', MESSAGE = 'the fence needs READ COMMITTED';
  END IF;

  -- Whoever touches the marker's comment holds it to the end of the block. Only the login that made the marker may.
  LOOP
    BEGIN
      EXECUTE format('COMMENT ON ROLE %I IS NULL', my_marker);
      EXIT;
    EXCEPTION WHEN undefined_object THEN
      NULL;
    END;
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', my_marker);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL; -- Another one was faster. This session may see its role only after it has tried once more.
    END;
  END LOOP;

  IF my_verb <> 'retire' THEN
    SELECT * INTO owner_role FROM pg_roles WHERE rolname = my_owner;
    IF NOT FOUND THEN
      RAISE EXCEPTION USING ERRCODE = 'KT004', MESSAGE = format('the owner role %s does not exist', my_owner);
    END IF;
    -- An owner that can log in is fit only as the legacy login of this very secret.
    mark := regexp_match(coalesce(shobj_description(owner_role.oid, 'pg_authid'), ''), marked);
    IF owner_role.rolsuper OR owner_role.rolcreaterole OR owner_role.rolreplication OR owner_role.rolbypassrls
      OR (owner_role.rolcanlogin AND NOT (my_adopts AND my_login = my_owner)
        AND (mark IS NULL OR mark[1] <> 'set' OR mark[5] <> my_secret OR mark[6] <> my_installation)) THEN
      RAISE EXCEPTION USING ERRCODE = 'KT004', MESSAGE = format(
        'the owner role %s must be NOLOGIN or imported, and no SUPERUSER, CREATEROLE, REPLICATION or BYPASSRLS role', my_owner);
    END IF;
  END IF;

  SELECT * INTO login FROM pg_roles WHERE rolname = my_login;
  exists_already := FOUND;
  IF my_legacy AND NOT exists_already THEN
    IF my_verb = 'retire' THEN
      RETURN; -- It was dropped, and what is not ours is never made.
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'KT003', MESSAGE = format('there is no login %s that was imported', my_login);
  END IF;
  IF exists_already THEN
    remark := coalesce(shobj_description(login.oid, 'pg_authid'), '');
    mark := regexp_match(remark, marked);
    IF mark IS NULL AND strpos(remark, '[keyturn ') > 0 THEN
      RAISE EXCEPTION USING ERRCODE = 'KT002', MESSAGE = format(
        'the mark of Keyturn in the comment of role %s cannot be read', my_login);
    END IF;
    IF mark IS NULL AND NOT my_adopts THEN
      RAISE EXCEPTION USING ERRCODE = 'KT003', MESSAGE = format(
        'role %s exists and bears no mark of Keyturn in its comment', my_login);
    END IF;
    IF mark[5] <> my_secret OR mark[6] <> my_installation THEN
      RAISE EXCEPTION USING ERRCODE = 'KT003', MESSAGE = format(
        'role %s belongs to secret %s of installation %s', my_login, mark[5], mark[6]);
    END IF;
    IF mark[7]::bigint > my_epoch THEN
      RAISE EXCEPTION USING ERRCODE = 'KT001', MESSAGE = format(
        'role %s has seen epoch %s, and %s by rotation %s; this is epoch %s', my_login, mark[7], mark[1], mark[4], my_epoch);
    END IF;

    same_value := mark[3] = my_fingerprint;
    -- At one epoch a value may be repeated, or set where a debt was retired before; anything else cannot come from one journal.
    same_epoch := mark[2]::bigint = my_epoch;
    IF (same_epoch AND same_value AND (mark[1] = 'retire') <> (my_verb = 'retire'))
      OR (same_epoch AND NOT same_value AND mark[1] <> 'retire' AND my_verb <> 'retire') THEN
      RAISE EXCEPTION USING ERRCODE = 'KT002', MESSAGE = format(
        'at epoch %s, role %s has got %s by rotation %s, and now %s by rotation %s',
        my_epoch, my_login, mark[1], mark[4], my_verb, my_rotation);
    END IF;
    IF same_epoch AND same_value AND mark[1] = 'set' THEN
      RETURN;
    END IF;
    IF my_adopts THEN
      IF NOT login.rolcanlogin OR login.rolsuper OR login.rolcreaterole OR login.rolreplication OR login.rolbypassrls
        OR NOT pg_has_role(login.oid, owner_role.oid, 'MEMBER') THEN
        RAISE EXCEPTION USING ERRCODE = 'KT004', MESSAGE = format(
          'role %s must be able to log in and to act as %s, and be no SUPERUSER, CREATEROLE, REPLICATION or BYPASSRLS role',
          my_login, my_owner);
      END IF;
      remark := regexp_replace(remark, ' ?\[keyturn v1 [^\]]*\]', '', 'g');
      EXECUTE format('COMMENT ON ROLE %I IS %L', my_login, ltrim(remark || ' ' || my_fence));
      RETURN;
    END IF;
    IF my_legacy AND my_verb = 'set' AND NOT same_value THEN
      RAISE EXCEPTION USING ERRCODE = 'KT003', MESSAGE = format('role %s was imported with another value', my_login);
    END IF;

    -- Replaced: the login holds another value, and is left alone. Only the epoch is noted, for a set that was stopped
    -- on its way must not bring back what is being retired.
    IF my_verb = 'retire' AND NOT same_value THEN
      remark := regexp_replace(remark, '(\[keyturn v1 [^\]]* seen=)\d+\]', '\1' || my_epoch || ']');
      EXECUTE format('COMMENT ON ROLE %I IS %L', my_login, remark);
      RETURN;
    END IF;

    -- Sessions of what lived here before must not live on under the new value. The same value again is a rollback to one
    -- that is still alive: its sessions are welcome.
    IF my_verb = 'set' AND NOT (same_value AND mark[1] = 'set')
      AND (login.rolcanlogin OR EXISTS (SELECT FROM pg_stat_activity WHERE usename = my_login)) THEN
      RAISE EXCEPTION USING ERRCODE = 'KT005', MESSAGE = format('role %s is in use', my_login);
    END IF;
    IF my_forced THEN
      PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = my_login;
    END IF;
  END IF;

  IF my_verb = 'clear' AND NOT exists_already THEN
    RETURN;
  END IF;
  command := CASE WHEN exists_already THEN 'ALTER ROLE %I' ELSE 'CREATE ROLE %I' END;
  IF my_verb <> 'set' THEN
    -- A login that does not exist is made, so that a set that was stopped on its way finds the fence.
    -- NOLOGIN alone would let the old password live again on the day that somebody allows the login.
    EXECUTE format(command || ' NOLOGIN PASSWORD NULL', my_login);
  ELSIF my_legacy THEN
    -- Still alive, for a rollback to it: it keeps the very verifier that it has had all along.
    IF NOT (login.rolcanlogin AND mark[1] = 'set') THEN
      IF my_verifier = '' THEN
        RAISE EXCEPTION USING ERRCODE = 'KT006', MESSAGE = format(
          'the password of %s cannot be set again: clients would not agree on how to prepare it', my_login);
      END IF;
      EXECUTE format(command || ' LOGIN PASSWORD %L', my_login, my_verifier);
    END IF;
  ELSE
    SELECT r.* INTO sibling
    FROM pg_roles r, regexp_match(shobj_description(r.oid, 'pg_authid'), marked) AS theirs
    WHERE r.rolname = my_sibling AND theirs[5] = my_secret AND theirs[6] = my_installation;
    IF FOUND THEN
      login.rolconnlimit := sibling.rolconnlimit;
      login.rolvaliduntil := sibling.rolvaliduntil;
    END IF;
    EXECUTE format(command || ' LOGIN PASSWORD %L CONNECTION LIMIT %s VALID UNTIL %L', my_login, my_verifier,
      coalesce(login.rolconnlimit, -1), coalesce(login.rolvaliduntil, 'infinity'));
    -- What is there from the last time is not done again: catalogs are slow to change.
    wanted := CASE WHEN current_setting('server_version_num')::int >= 160000 THEN '{USAGE,SET}' ELSE '{USAGE}' END;
    IF NOT exists_already OR NOT (SELECT bool_and(pg_has_role(login.oid, owner_role.oid, w)) FROM unnest(wanted) AS w) THEN
      EXECUTE format('GRANT %I TO %I', my_owner, my_login)
        || CASE WHEN 'SET' = ANY (wanted) THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_db_role_setting
      WHERE setrole = login.oid AND setdatabase = 0 AND 'role=' || my_owner = ANY (setconfig)) THEN
      EXECUTE format('ALTER ROLE %I SET role = %L', my_login, my_owner);
    END IF;

    -- The owner's settings reach nobody who logs in as somebody else: the login gets them, and what its sibling has besides.
    IF EXISTS (SELECT FROM pg_db_role_setting WHERE setrole IN (login.oid, owner_role.oid, sibling.oid)
      AND setconfig <> ARRAY['role=' || my_owner]) THEN FOR setting IN
      WITH known AS (
        SELECT s.setdatabase, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value,
          CASE WHEN r.rolname = my_login THEN 3 WHEN r.oid = owner_role.oid THEN 1 ELSE 2 END AS source
        FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS c
        WHERE r.rolname = my_login OR r.oid IN (owner_role.oid, sibling.oid)
      ), given AS (
        SELECT DISTINCT ON (setdatabase, name) setdatabase, name, value FROM known WHERE source < 3
        ORDER BY setdatabase, name, source
      ), present AS (
        SELECT setdatabase, name, value FROM known WHERE source = 3
      )
      SELECT name, given.value, datname
      FROM given FULL JOIN present USING (setdatabase, name) LEFT JOIN pg_database d ON d.oid = setdatabase
      WHERE name <> 'role' AND given.value IS DISTINCT FROM present.value
    LOOP
      command := format('ALTER ROLE %I', my_login) || coalesce(' IN DATABASE ' || quote_ident(setting.datname), '');
      BEGIN
        IF setting.value IS NULL THEN
          EXECUTE command || format(' RESET %I', setting.name);
        ELSIF setting.name = ANY (listed) THEN
          -- These hold lists in a quoting of their own: taken over as they stand, never as SQL. The search path is put
          -- back at once, so that nothing of ours is looked for in theirs.
          command := command || format(' SET %I FROM CURRENT', setting.name);
          PERFORM pg_catalog.set_config(setting.name, setting.value, true);
          EXECUTE command;
          PERFORM pg_catalog.set_config('search_path', 'pg_catalog', true);
        ELSE
          EXECUTE command || format(' SET %I TO %L', setting.name, setting.value);
        END IF;
      EXCEPTION WHEN insufficient_privilege OR cant_change_runtime_param OR undefined_object OR invalid_parameter_value THEN
        NULL; -- The administrator cannot set it; the test says so.
      END;
    END LOOP; END IF;
  END IF;

  remark := regexp_replace(remark, ' ?\[keyturn v1 [^\]]*\]', '', 'g');
  EXECUTE format('COMMENT ON ROLE %I IS %L', my_login, ltrim(remark || ' ' || my_fence));
END`;
