"""Prints tokens of RDS and Aurora DSQL as botocore, an independent implementation of SigV4, makes them: one JSON object a line.

The tests of host/src/aws_iam/token.rs have its output as botocore_tokens.jsonl, and run it again where botocore is installed.
"""

import datetime
import json

import botocore.auth
import botocore.session

TIMES = ["2026-11-28T01:02:03Z", "2031-01-01T00:00:00Z"]

# Those of AWS's documentation, and of a role: its session token has what has to be encoded.
CREDENTIALS = [
    ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None),
    ("ASIAEXAMPLE", "a/+b", "IQoJb3JpZ2luX2VjEXAMPLE/+=&%~ " + "x" * 60 + "=="),
]

# Host, port, region.
RDS = [
    ("db.c9akciq32.eu-west-1.rds.amazonaws.com", 5432, "eu-west-1"),
    ("db.cluster-c9akciq32.us-gov-west-1.rds.amazonaws.com", 6432, "us-gov-west-1"),
    ("pool.proxy-c9akciq32.ap-southeast-2.rds.amazonaws.com", 5432, "ap-southeast-2"),
    ("db.c9akciq32.rds.cn-north-1.amazonaws.com.cn", 443, "cn-north-1"),
    ("database.internal", 5432, "eu-central-1"),
]
RDS_USERS = ["api", "Api-user_1.x~", "a b", "api+reader@example.com", "a/b?c=d&e%f", "Jürgen", "'\"*()!;:$,[]"]

# Host, region.
DSQL = [
    ("abc0def1baz2quux3quuux4.dsql.us-east-1.on.aws", "us-east-1"),
    ("abc0def1baz2quux3quuux4.dsql-fnh4.eu-west-2.on.aws", "eu-west-2"),
]
DSQL_USERS = ["admin", "api"]


def token(client, service, host, port, region, user):
    if service == "rds":
        return client.generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user, Region=region)
    if user == "admin":
        return client.generate_db_connect_admin_auth_token(Hostname=host, Region=region)
    return client.generate_db_connect_auth_token(Hostname=host, Region=region)


def main():
    accounts = [("rds", host, port, region, user) for host, port, region in RDS for user in RDS_USERS]
    accounts += [("dsql", host, 5432, region, user) for host, region in DSQL for user in DSQL_USERS]
    for key, secret, session_token in CREDENTIALS:
        session = botocore.session.Session()
        session.set_credentials(key, secret, session_token)
        clients = {name: session.create_client(name, region_name="us-east-1") for name in ("rds", "dsql")}
        for time in TIMES:
            now = datetime.datetime.strptime(time, "%Y-%m-%dT%H:%M:%SZ")
            botocore.auth.get_current_datetime = lambda remove_tzinfo=True: now
            for service, host, port, region, user in accounts:
                line = {
                    "key": key,
                    "secret": secret,
                    "session_token": session_token,
                    "time": time,
                    "host": host,
                    "port": port,
                    "region": region,
                    "user": user,
                    "token": token(clients[service], service, host, port, region, user),
                }
                print(json.dumps(line, ensure_ascii=False))


main()
