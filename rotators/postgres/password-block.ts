/**
 * The body of the `DO` block that changes the password of one role; `changePassword` declares its constants. Its states are those of
 * fence-block.ts, and KT007: the value is alive, and must be replaced rather than cut.
 *
 * The fence is kept in the comment of `my_place`: the role itself, or for a role that changes itself a role of its own, since nobody
 * may comment on himself. Behind the fence stand the values of late, newest first, each with the microseconds between which it came
 * to be the one: by them a session is known by when it began. The second of them is taken in a transaction of its own, after the
 * change has been committed: until then the old value still let people in.
 *
 * It runs READ COMMITTED: under a stricter isolation, a block that had to wait for the lock would decide by what was there before.
 */
export const passwordBlock = String.raw`
  marked constant text := '\[keyturn v1 (set|clear|retire) epoch=(\d+) fingerprint=([^ \]]*) rotation=([^ \]]*) secret=([^ \]]*) installation=([^ \]]*) seen=(\d+)\]';
  listed constant text := '\[keyturn sessions ([^\]]*)\]';
  values_kept constant int := 8;
  login pg_roles%ROWTYPE;
  needed text;
  exists_already boolean;
  same_epoch boolean := false;
  same_value boolean := false;
  remark text;
  mark text[];
  values_were text;
  moment bigint;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION USING ERRCODE = 'KT004', MESSAGE = 'the fence needs READ COMMITTED';
  END IF;

  -- Whoever touches the lock role's comment holds it to the end of the transaction. Only the login that made it may.
  FOREACH needed IN ARRAY CASE WHEN my_self THEN ARRAY[my_lock, my_place] ELSE ARRAY[my_lock] END LOOP
    LOOP
      BEGIN
        IF needed = my_lock THEN
          EXECUTE format('COMMENT ON ROLE %I IS NULL', my_lock);
        END IF;
        EXIT WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = needed);
      EXCEPTION WHEN undefined_object THEN
        NULL;
      END;
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', needed);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- Another one was faster. This session may see its role only after it has tried once more.
      END;
    END LOOP;
  END LOOP;

  SELECT * INTO login FROM pg_roles WHERE rolname = my_login;
  exists_already := FOUND;
  IF NOT exists_already AND NOT my_creates THEN
    IF my_verb = 'retire' THEN
      RETURN; -- Nobody logs in as a role that is not there.
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'KT004', MESSAGE = format(
      'role %s does not exist: make it, or have it made by "create: true"', my_login);
  END IF;
  IF exists_already AND login.rolsuper AND NOT my_self THEN
    RAISE EXCEPTION USING ERRCODE = 'KT004', MESSAGE = format(
      'role %s is a superuser, whom only itself may change: name it as its own administering login', my_login);
  END IF;

  SELECT shobj_description(oid, 'pg_authid') INTO remark FROM pg_roles WHERE rolname = my_place;
  remark := coalesce(remark, '');
  mark := regexp_match(remark, marked);
  values_were := (regexp_match(remark, listed))[1];
  IF mark IS NULL AND strpos(remark, '[keyturn ') > 0 THEN
    RAISE EXCEPTION USING ERRCODE = 'KT002', MESSAGE = format(
      'the mark of Keyturn in the comment of role %s cannot be read', my_place);
  END IF;
  IF mark IS NULL AND exists_already AND NOT my_adopts THEN
    RAISE EXCEPTION USING ERRCODE = 'KT003', MESSAGE = format('role %s exists and bears no mark of Keyturn%s', my_login,
      CASE WHEN my_self THEN ': import it' ELSE ' in its comment: import it' END);
  END IF;
  IF mark IS NOT NULL THEN
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
  END IF;

  -- Replaced: it is refused already. Only the epoch is noted, for a set that was stopped on its way must not bring it back.
  IF my_verb = 'retire' AND mark IS NOT NULL AND NOT same_value THEN
    remark := regexp_replace(remark, '(\[keyturn v1 [^\]]* seen=)\d+\]', '\1' || my_epoch || ']');
    EXECUTE format('COMMENT ON ROLE %I IS %L', my_place, remark);
    RETURN;
  END IF;
  IF my_verb = 'retire' AND my_self THEN
    RAISE EXCEPTION USING ERRCODE = 'KT007', MESSAGE = format(
      'role %s administers itself, and would be shut out for good: rotate it, which replaces what it has', my_login);
  END IF;

  moment := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  IF my_verb = 'set' AND NOT (same_epoch AND same_value) THEN
    IF my_adopts THEN
      IF NOT login.rolcanlogin THEN
        RAISE EXCEPTION USING ERRCODE = 'KT004', MESSAGE = format('role %s may not log in', my_login);
      END IF;
    ELSE
      IF my_forced THEN
        -- Who holds a lock on the roles for long is in the middle of changing this one: no other right of its own leads there.
        PERFORM pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_locks l USING (pid)
        WHERE a.usename = my_login AND a.pid <> pg_backend_pid() AND a.xact_start < clock_timestamp() - interval '200 ms'
          AND l.granted AND l.relation = 'pg_authid'::regclass AND l.mode <> 'AccessShareLock';
      END IF;
      -- Shut by us, or just made, it is opened; what somebody else has shut stays shut, and fails the test.
      EXECUTE format(CASE WHEN exists_already THEN 'ALTER ROLE %I' ELSE 'CREATE ROLE %I' END
        || CASE WHEN exists_already AND mark[1] <> 'retire' THEN '' ELSE ' LOGIN' END || ' PASSWORD %L', my_login, my_verifier);
    END IF;
    -- The same value again goes on as it was; an imported one was there before anybody asked.
    IF values_were IS NULL AND my_adopts THEN
      values_were := my_fingerprint || '@0-0';
    ELSIF NOT same_value OR mark[1] = 'retire' THEN
      values_were := regexp_replace(values_were, '^([^,]*-)(,|$)', '\1' || moment || '\2');
      values_were := concat_ws(',', my_fingerprint || '@' || moment || '-', values_were);
      values_were := array_to_string((string_to_array(values_were, ','))[1:values_kept], ',');
    END IF;
  ELSIF my_verb = 'retire' THEN
    IF my_forced THEN
      PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = my_login;
    END IF;
    -- A role that does not exist is made, so that a set that was stopped on its way finds the fence.
    EXECUTE format(CASE WHEN exists_already THEN 'ALTER ROLE %I' ELSE 'CREATE ROLE %I' END || ' NOLOGIN PASSWORD NULL', my_login);
  END IF;

  IF NOT (same_epoch AND same_value AND my_verb = 'set') THEN
    remark := rtrim(regexp_replace(remark, ' ?\[keyturn (v1|sessions) [^\]]*\]', '', 'g'));
    EXECUTE format('COMMENT ON ROLE %I IS %L', my_place,
      concat_ws(' ', nullif(remark, ''), my_fence, '[keyturn sessions ' || values_were || ']'));
  END IF;
  IF my_verb = 'retire' OR my_adopts THEN
    RETURN;
  END IF;

  -- From here on the old value is refused: whoever comes in now has the new one.
  COMMIT;
  moment := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  EXECUTE format('COMMENT ON ROLE %I IS NULL', my_lock);
  SELECT shobj_description(oid, 'pg_authid') INTO remark FROM pg_roles WHERE rolname = my_place;
  IF strpos(remark, my_fence) > 0 THEN
    remark := regexp_replace(remark, '(\[keyturn sessions [^,\]]*-)(,|\])', '\1' || moment || '\2');
    EXECUTE format('COMMENT ON ROLE %I IS %L', my_place, remark);
  END IF;
END`;
