-- Page servers remember lists of this page; they are told when one has changed (003-tell-of-changes.sql).
call :"schema".tell_page_servers();
