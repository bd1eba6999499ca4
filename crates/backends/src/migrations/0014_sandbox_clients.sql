-- Clients that a person registered on the developer's page: found by their owner, who stands in the properties.

CREATE INDEX client_of_owner ON client (json_extract(properties, '$.owner')) WHERE json_extract(properties, '$.owner') IS NOT NULL;
