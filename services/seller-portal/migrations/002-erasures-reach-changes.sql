-- The version of the list a change was made for: an erasure after it forgets the change. Of a change noted by an older
-- version of the page nothing is known, so that any erasure forgets it.
alter table change add column made_for bigint not null default 0;
