-- Creating a trigger waits for whoever writes the table, and everybody else waits behind it. So it gives up soon, and
-- migrate is run again.
set local lock_timeout = '5s';
-- Whoever caches what the view says is notified when it has changed.
call :"schema".notify_page_servers();
