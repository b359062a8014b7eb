#!/usr/bin/python3
"""Neutron's tables in an empty sqlite database, and one emulated network agent.

    neutron_tables.py NEUTRON.CONF HOST

Neutron's own migrations do not run on sqlite (they alter constraints); its
models make the same tables at once.  The agent is a row that says "Open vSwitch
on HOST, alive for a day": with it Neutron binds ports of HOST; nobody plugs them.
"""
import datetime
import sys

from oslo_config import cfg
from neutron.common import config
from neutron.db.migration.models import head
from neutron.objects import agent
from neutron_lib import context
from neutron_lib.db import api
from oslo_utils import uuidutils


def main():
    conf, host = sys.argv[1:]
    config.register_common_config_options()
    config.init([], default_config_files=[conf])
    engine = api.get_context_manager().writer.get_engine()
    head.get_metadata().create_all(engine)
    now = datetime.datetime.utcnow()
    agent.Agent(context.get_admin_context(), id=uuidutils.generate_uuid(),
                agent_type="Open vSwitch agent", binary="neutron-openvswitch-agent",
                topic="N/A", host=host, admin_state_up=True, started_at=now, created_at=now,
                heartbeat_timestamp=now + datetime.timedelta(days=1),
                description="emulated", configurations={"bridge_mappings": {}}).create()
    print("tables of", cfg.CONF.database.connection)


if __name__ == "__main__":
    main()
