-- Shares of pushed requests are counted in indexes: anybody may ask for one.
DROP INDEX pushed_request_end;
CREATE INDEX pushed_request_end ON pushed_request (expires_at, pushed, network);
CREATE INDEX pushed_request_of_client ON pushed_request (client, begun, network, expires_at);
CREATE INDEX pushed_request_of_network ON pushed_request (network, expires_at) WHERE network <> '';
