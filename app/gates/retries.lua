-- How much of the retry budget is used now. Changes nothing.
--
-- KEYS   1 the stem of the retries (see common.lua)      reads  :spans
-- ARGV   1 clock or ''
-- Returns {retries granted lately, retries allowed in all that time}

local spans, current = retry_spans(KEYS[1], clock())
return {retry_budget(spans, current, 0)}
