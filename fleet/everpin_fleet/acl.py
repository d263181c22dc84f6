"""A broker's rules for a fleet: who may read and write which topic. Devices log in as their own id."""

import json

from .policy import Policy


def mosquitto(policy: Policy) -> str:
    """Return an acl_file for mosquitto (mosquitto.conf(5), acl_file): device users are named by their ids."""
    base = f"everpin/1/{policy.fleet}"
    return "\n".join(
        [
            "# Everybody, rescue's anonymous clients included: signed documents, read only.",
            f"topic read {base}/root/+",
            f"topic read {base}/{policy.channel}/pins",
            f"topic read {base}/{policy.channel}/+/pins",
            "",
            "# Each device: its own report and ack. %u is the user name.",
            f"pattern write {base}/report/%u",
            f"pattern read {base}/ack/%u",
            "",
            "user operator",
            f"topic readwrite {base}/root/+",
            f"topic readwrite {base}/{policy.channel}/pins",
            f"topic readwrite {base}/{policy.channel}/+/pins",
            "",
            "user collector",
            f"topic read {base}/report/+",
            f"topic write {base}/ack/+",
            "",
        ]
    )


def emqx(policy: Policy) -> str:
    """Return rules for EMQX 5's acl.conf (Erlang terms; the first that matches decides)."""
    base = f"everpin/1/{policy.fleet}"
    documents = (
        f'["{base}/root/+", "{base}/{policy.channel}/pins", "{base}/{policy.channel}/+/pins"]'
    )
    return "\n".join(
        [
            "%% Everybody, rescue's anonymous clients included: signed documents, read only.",
            f'{{allow, {{user, "operator"}}, all, {documents}}}.',
            f'{{allow, {{user, "collector"}}, subscribe, ["{base}/report/+"]}}.',
            f'{{allow, {{user, "collector"}}, publish, ["{base}/ack/+"]}}.',
            f"{{allow, all, subscribe, {documents}}}.",
            f'{{allow, all, publish, ["{base}/report/${{username}}"]}}.',
            f'{{allow, all, subscribe, ["{base}/ack/${{username}}"]}}.',
            f'{{deny, all, all, ["{base}/#"]}}.',
            "",
        ]
    )


def aws(policy: Policy) -> str:
    """Return an AWS IoT Core policy for devices. AWS admits no anonymous client: rescue must be a mirror."""
    base = f"everpin/1/{policy.fleet}"
    thing = "${iot:Connection.Thing.ThingName}"
    arn = "arn:aws:iot:REGION:ACCOUNT"
    read = [
        f"{base}/root/*",
        f"{base}/{policy.channel}/pins",
        f"{base}/{policy.channel}/*/pins",
        f"{base}/ack/{thing}",
    ]
    rules = [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": f"{arn}:client/{thing}"},
        {
            "Effect": "Allow",
            "Action": "iot:Subscribe",
            "Resource": [f"{arn}:topicfilter/{item}" for item in read],
        },
        {
            "Effect": "Allow",
            "Action": "iot:Receive",
            "Resource": [f"{arn}:topic/{item}" for item in read],
        },
        {
            "Effect": "Allow",
            "Action": "iot:Publish",
            "Resource": f"{arn}:topic/{base}/report/{thing}",
        },
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": rules}, indent=2) + "\n"


PRINTERS = {"mosquitto": mosquitto, "emqx": emqx, "aws": aws}
