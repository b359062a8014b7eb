"""services - a real OpenStack on loopback: Keystone, Glance, Placement,
Neutron and Nova.

    with services.Cloud() as cloud:
        cloud.auth_url, cloud.user, cloud.password, cloud.project, cloud.region

Debian's programs, each with its own configuration, sqlite database and port in a
private folder; a private RabbitMQ carries Nova's messages.  What is not real
is said: nova-compute runs its "fake" driver, which keeps instances in memory
and starts no machine; Neutron has no agents, only a row that says there is one,
so networks, ports, groups and addresses are records; there is no Cinder.  Nothing of the system is used: no /etc, no service, no port but
those asked from the kernel.  Every process is ours and is ended by its id, with
its group, whatever happens.  Times are in seconds.
"""
import atexit
import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
from ports import free_ports                           # noqa: E402

PYTHON = "/usr/bin/python3"
RABBIT = "/usr/lib/rabbitmq/bin/rabbitmq-server"
HOST = "127.0.0.1"
EMULATED_HOST = "emulated-host"
_libc = ctypes.CDLL(None, use_errno=True)


def wait_for(what, fn, timeout, every=0.2, process=None):
    """Until fn() is true; its value.  A process that ends meanwhile is an error."""
    end = time.monotonic() + timeout
    while True:
        value = fn()
        if value:
            return value
        if process and process.poll() is not None:
            raise RuntimeError("%s: the process ended with %s; see its log:\n%s"
                               % (what, process.returncode, tail(process.log)))
        if time.monotonic() > end:
            raise TimeoutError("waited %g s for %s\n%s"
                               % (timeout, what, tail(process.log) if process else ""))
        time.sleep(every)


def tail(path, lines=25):
    with open(path, errors="replace") as f:
        return "".join(f.readlines()[-lines:])


def answers(url, *statuses):
    try:
        with urllib.request.urlopen(url, timeout=5) as a:
            return a.status in statuses
    except urllib.error.HTTPError as e:
        return e.code in statuses
    except OSError:
        return False


class Cloud:
    def __init__(self, base=None):
        self.dir = tempfile.mkdtemp(prefix="sc-openstack-", dir=base)
        self.log_dir = os.path.join(self.dir, "log")
        os.mkdir(self.log_dir)
        self.processes = []
        self.timings = []
        self.region = "RegionOne"
        self.user, self.project = "admin", "admin"
        self.password = secrets.token_hex(12)
        (self.keystone_port, self.glance_port, self.nova_port, self.placement_port,
         self.neutron_port, self.rabbit_port, self.rabbit_dist,
         self.epmd_port) = free_ports(8)
        self.auth_url = "http://%s:%d/v3" % (HOST, self.keystone_port)
        self.env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": self.dir,
                    "LANG": "C.UTF-8", "TMPDIR": self.dir,
                    "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1",
                    "OS_KEYSTONE_CONFIG_DIR": self.path("keystone"),
                    "OS_PLACEMENT_CONFIG_DIR": self.path("placement"),
                    "OS_NEUTRON_CONFIG_DIR": self.path("neutron"),
                    "OS_NEUTRON_CONFIG_FILES": "neutron.conf"}
        atexit.register(self.close)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    # -- processes -------------------------------------------------------
    def spawn(self, name, *argv, env=None):
        log = os.path.join(self.log_dir, name + ".log")
        with open(log, "ab") as out:
            p = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.dir,
                env=dict(self.env, **(env or {})), start_new_session=True,
                preexec_fn=lambda: _libc.prctl(1, signal.SIGKILL))   # Dies with us.
        p.log, p.name = log, name
        self.processes.append(p)
        return p

    def run(self, name, *argv, timeout=600):
        """A tool of the services, to its end."""
        log = os.path.join(self.log_dir, name + ".log")
        with open(log, "ab") as out:
            r = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                               cwd=self.dir, env=self.env, timeout=timeout)
        if r.returncode:
            raise RuntimeError("%s: exit %d:\n%s" % (" ".join(argv), r.returncode, tail(log)))

    def main_of(self, name, module, *args):
        """A service whose program is in a Debian package that would bring a
        hypervisor: the same main(), from the Python package."""
        return self.spawn(name, PYTHON, "-c", "import sys; from %s import main; "
                          "sys.argv[0] = '%s'; main()" % (module, name), *args)

    def close(self):
        for sig, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 10)):
            for p in self.processes:
                try:                        # Its group may have children yet.
                    os.killpg(p.pid, sig)
                except ProcessLookupError:
                    pass
            end = time.monotonic() + patience
            for p in self.processes:
                try:
                    p.wait(max(0.0, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    pass
        self.processes = []
        if os.environ.get("SC_KEEP"):
            print("# kept: " + self.dir, file=sys.stderr)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def kill(self, name, sig=signal.SIGKILL):
        """Ends one service and all its workers."""
        for p in [p for p in self.processes if p.name == name]:
            os.killpg(p.pid, sig)
            p.wait(20)
            self.processes.remove(p)

    # -- configuration ---------------------------------------------------
    def write(self, path, sections):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "w") as f:
            for section, values in sections.items():
                f.write("[%s]\n" % section)
                for k, v in values.items():
                    f.write("%s = %s\n" % (k, v))
        os.chmod(path, 0o600)

    def database(self, name):
        """The connection of a new or old database.  With a write-ahead log a
        reader never blocks a writer: Keystone reads inside its own writes."""
        path = self.path(name + ".sqlite")
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA journal_mode=WAL")
        return "sqlite:///%s?timeout=60" % path

    def sqlite(self, name):
        return {"connection": self.database(name), "sqlite_synchronous": "false"}

    def service_user(self):
        return {"auth_url": self.auth_url, "auth_type": "password", "username": self.user,
                "password": self.password, "project_name": self.project,
                "user_domain_name": "Default", "project_domain_name": "Default",
                "region_name": self.region}

    def configure(self):
        # 'service_type': the access rules of application credentials count.
        def auth(kind):
            return dict(self.service_user(), www_authenticate_uri=self.auth_url,
                        service_type=kind)
        self.write(self.path("keystone", "keystone.conf"), {
            "database": self.sqlite("keystone"),
            "token": {"provider": "fernet", "expiration": 3600},
            "fernet_tokens": {"key_repository": self.path("keystone", "fernet")},
            "fernet_receipts": {"key_repository": self.path("keystone", "fernet")},
            "credential": {"key_repository": self.path("keystone", "credential")},
            "identity": {"password_hash_rounds": 4},
        })
        self.write(self.path("glance", "glance-api.conf"), {
            "DEFAULT": {"bind_host": HOST, "bind_port": self.glance_port, "workers": 0,
                        "enabled_backends": "files:file",
                        "node_staging_uri": "file://" + self.path("glance", "staging")},
            "database": self.sqlite("glance"),
            "glance_store": {"default_backend": "files"},
            "files": {"filesystem_store_datadir": self.path("glance", "images")},
            "os_glance_staging_store": {
                "filesystem_store_datadir": self.path("glance", "staging")},
            "os_glance_tasks_store": {
                "filesystem_store_datadir": self.path("glance", "tasks")},
            "keystone_authtoken": auth("image"),
            "paste_deploy": {"flavor": "keystone",
                             "config_file": "/usr/share/glance-common/glance-api-paste.ini"},
            "oslo_concurrency": {"lock_path": self.path("glance", "locks")},
        })
        self.write(self.path("placement", "placement.conf"), {
            "placement_database": self.sqlite("placement"),
            "api": {"auth_strategy": "keystone"},
            "keystone_authtoken": auth("placement"),
        })
        self.write(self.path("neutron", "neutron.conf"), {
            "DEFAULT": {"core_plugin": "ml2", "service_plugins": "router",
                        "auth_strategy": "keystone", "transport_url": "fake://",
                        "state_path": self.path("neutron"),
                        "api_paste_config": "/usr/share/neutron-common/api-paste.ini",
                        "notify_nova_on_port_status_changes": "false",
                        "notify_nova_on_port_data_changes": "false",
                        "dhcp_agent_notification": "false"},
            "database": self.sqlite("neutron"),
            "keystone_authtoken": auth("network"),
            "ml2": {"type_drivers": "local", "tenant_network_types": "local",
                    "mechanism_drivers": "openvswitch"},
            "oslo_concurrency": {"lock_path": self.path("neutron", "locks")},
        })
        rabbit = "rabbit://guest:guest@%s:%d/" % (HOST, self.rabbit_port)
        self.write(self.path("nova", "nova.conf"), {
            "DEFAULT": {"host": EMULATED_HOST, "my_ip": HOST, "transport_url": rabbit,
                        "state_path": self.path("nova"),
                        "compute_driver": "fake.SmallFakeDriver",
                        "osapi_compute_listen": HOST,
                        "osapi_compute_listen_port": self.nova_port,
                        "osapi_compute_workers": 1, "enabled_apis": "osapi_compute",
                        "osapi_max_limit": 3,           # Lists have pages.
                        # Rare writes of other processes: a transaction that has
                        # read cannot write after them on sqlite, and Nova gives up.
                        "report_interval": 60, "service_down_time": 600,
                        "instance_usage_audit": "false", "shutdown_timeout": 2},
            "api": {"auth_strategy": "keystone", "max_limit": 3},
            "api_database": self.sqlite("nova_api"),
            "database": self.sqlite("nova"),
            "keystone_authtoken": auth("compute"),
            "service_user": dict(self.service_user(), send_service_user_token="true"),
            "glance": dict(self.service_user(),
                           endpoint_override="http://%s:%d" % (HOST, self.glance_port)),
            "placement": self.service_user(),
            "neutron": self.service_user(),
            "conductor": {"workers": 1}, "scheduler": {"workers": 1},
            "quota": {"instances": 4, "ram": 24000},
            "oslo_concurrency": {"lock_path": self.path("nova", "locks")},
            "wsgi": {"api_paste_config": "/usr/share/nova-common/api-paste.ini"},
            "key_manager": {"backend": "nova.keymgr.conf_key_mgr.ConfKeyManager",
                                           "fixed_key": "00" * 32},
        })
        for d in ("glance/images", "glance/staging", "glance/tasks", "nova/instances",
                  "rabbit/db", "rabbit/log"):
            os.makedirs(self.path(*d.split("/")), exist_ok=True)

    # -- the start -------------------------------------------------------
    def timed(self, name, fn, *args):
        began = time.monotonic()
        fn(*args)
        self.timings.append((name, time.monotonic() - began))

    def start(self):
        self.configure()
        self.timed("rabbitmq (begun)", self.start_rabbit)
        self.timed("keystone", self.start_keystone)
        self.timed("glance", self.start_glance)
        self.timed("placement", self.start_placement)
        self.timed("neutron", self.start_neutron)
        self.timed("nova", self.start_nova)

    def start_rabbit(self):
        with open(self.path(".erlang.cookie"), "w") as f:
            f.write(secrets.token_hex(16))
        os.chmod(self.path(".erlang.cookie"), 0o400)
        with open(self.path("rabbit", "plugins"), "w") as f:
            f.write("[].\n")
        with open(self.path("rabbit", "rabbitmq.conf"), "w") as f:
            f.write("listeners.tcp.1 = %s:%d\n" % (HOST, self.rabbit_port))
            f.write("disk_free_limit.absolute = 50MB\n")
        epmd = {"ERL_EPMD_PORT": str(self.epmd_port), "ERL_EPMD_ADDRESS": HOST}
        # Erlang starts processes of its own that leave our group: in a process
        # name space they end with its first one, whatever ends that.
        fence = ("unshare", "--pid", "--fork", "--kill-child")
        self.spawn("epmd", *fence, "/usr/bin/epmd", "-port", str(self.epmd_port), "-address", HOST)
        self.rabbit = self.spawn("rabbitmq", *fence, RABBIT, env=dict(epmd, **{
            "RABBITMQ_NODENAME": "sc-%d@localhost" % os.getpid(),
            "RABBITMQ_DIST_PORT": str(self.rabbit_dist),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": self.path("rabbit", "db"),
            "RABBITMQ_LOG_BASE": self.path("rabbit", "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.path("rabbit", "plugins"),
            "RABBITMQ_CONFIG_FILE": self.path("rabbit", "rabbitmq.conf"),
            "RABBITMQ_PID_FILE": self.path("rabbit", "pid"),
            "RABBITMQ_CONF_ENV_FILE": self.path("rabbit", "none"),
        }))

    def start_keystone(self):
        conf = ("--config-file", self.path("keystone", "keystone.conf"))
        self.run("keystone-manage", "keystone-manage", *conf, "db_sync")
        self.run("keystone-manage", "keystone-manage", *conf, "fernet_setup",
                 "--keystone-user", "root", "--keystone-group", "root")
        # The password by the environment of this one process, not by its arguments.
        self.env["OS_BOOTSTRAP_PASSWORD"] = self.password
        self.run("keystone-manage", "keystone-manage", *conf, "bootstrap",
                 "--bootstrap-username", self.user, "--bootstrap-project-name", self.project,
                 "--bootstrap-region-id", self.region,
                 "--bootstrap-public-url", self.auth_url,
                 "--bootstrap-internal-url", self.auth_url)
        del self.env["OS_BOOTSTRAP_PASSWORD"]
        p = self.spawn("keystone", PYTHON, os.path.join(HERE, "wsgi.py"), "keystone",
                       str(self.keystone_port))
        wait_for("keystone", lambda: answers(self.auth_url, 200), 300, process=p)
        self.token = None
        # With it Nova may go on at Neutron and Glance for a user whose
        # application credential has access rules.
        role = self.api("POST", self.auth_url + "/roles", {"role": {"name": "service"}})
        me = self.api("GET", self.auth_url + "/role_assignments?include_names")
        me = next(a for a in me["role_assignments"] if "project" in a.get("scope", {})
                  and a["user"]["name"] == self.user)
        self.api("PUT", "%s/projects/%s/users/%s/roles/%s" % (
            self.auth_url, me["scope"]["project"]["id"], me["user"]["id"], role["role"]["id"]))
        for kind, name, url in (
                ("image", "glance", "http://%s:%d" % (HOST, self.glance_port)),
                ("network", "neutron", "http://%s:%d" % (HOST, self.neutron_port)),
                ("placement", "placement", "http://%s:%d" % (HOST, self.placement_port)),
                ("compute", "nova", "http://%s:%d/v2.1" % (HOST, self.nova_port))):
            service = self.api("POST", self.auth_url + "/services",
                               {"service": {"type": kind, "name": name}})["service"]["id"]
            for interface in ("public", "internal"):
                self.api("POST", self.auth_url + "/endpoints",
                         {"endpoint": {"service_id": service, "interface": interface,
                                       "url": url, "region_id": self.region}})

    def start_glance(self):
        conf = ("--config-file", self.path("glance", "glance-api.conf"))
        self.run("glance-manage", "glance-manage", *conf, "db_sync")
        p = self.main_of("glance-api", "glance.cmd.api", *conf)
        wait_for("glance", lambda: answers("http://%s:%d/" % (HOST, self.glance_port), 200, 300),
                 300, process=p)

    def start_placement(self):
        self.run("placement-manage", "placement-manage", "--config-file",
                 self.path("placement", "placement.conf"), "db", "sync")
        p = self.spawn("placement", PYTHON, os.path.join(HERE, "wsgi.py"), "placement",
                       str(self.placement_port))
        wait_for("placement", lambda: answers("http://%s:%d/" % (HOST, self.placement_port), 200),
                 300, process=p)

    def start_neutron(self):
        self.run("neutron-tables", PYTHON, os.path.join(HERE, "neutron_tables.py"),
                 self.path("neutron", "neutron.conf"), EMULATED_HOST)
        p = self.spawn("neutron", PYTHON, os.path.join(HERE, "wsgi.py"), "neutron",
                       str(self.neutron_port))
        wait_for("neutron", lambda: answers("http://%s:%d/" % (HOST, self.neutron_port), 200),
                 300, process=p)

    def nova(self, name, module):
        return self.main_of(name, module, "--config-file", self.path("nova", "nova.conf"))

    def start_nova(self):
        conf = ("--config-file", self.path("nova", "nova.conf"))
        self.run("nova-manage", "nova-manage", *conf, "api_db", "sync")
        self.run("nova-manage", "nova-manage", *conf, "cell_v2", "map_cell0",
                 "--database_connection", self.database("nova_cell0"))
        self.run("nova-manage", "nova-manage", *conf, "db", "sync")
        self.run("nova-manage", "nova-manage", *conf, "cell_v2", "create_cell", "--name", "one")
        wait_for("rabbitmq", lambda: self.listens(self.rabbit_port), 300, process=self.rabbit)
        self.nova("nova-conductor", "nova.cmd.conductor")
        self.nova("nova-scheduler", "nova.cmd.scheduler")
        compute = self.nova("nova-compute", "nova.cmd.compute")
        p = self.nova("nova-api", "nova.cmd.api_os_compute")
        self.compute_url = "http://%s:%d/v2.1" % (HOST, self.nova_port)
        wait_for("nova-api", lambda: answers("http://%s:%d/" % (HOST, self.nova_port), 200),
                 300, process=p)
        wait_for("nova-compute", self.compute_is_up, 300, every=0.5, process=compute)
        self.run("nova-manage", "nova-manage", *conf, "cell_v2", "discover_hosts")
        wait_for("nova-compute in the cell",
                 lambda: self.api("GET", self.compute_url + "/os-hypervisors")["hypervisors"],
                 300, process=compute)

    def compute_is_up(self):
        services = self.api("GET", self.compute_url + "/os-services?binary=nova-compute")
        return any(s["state"] == "up" for s in services["services"])

    @staticmethod
    def listens(port):
        with socket.socket() as s:
            return s.connect_ex((HOST, port)) == 0

    # -- the administrator -----------------------------------------------
    def api(self, method, url, body=None, headers=None):
        """One request as the administrator; the answer's JSON."""
        if not self.token:
            self.token = self.login()
        r = urllib.request.Request(
            url, method=method, data=json.dumps(body).encode() if body else None,
            headers=dict({"X-Auth-Token": self.token, "Content-Type": "application/json"},
                         **(headers or {})))
        with urllib.request.urlopen(r, timeout=60) as a:
            text = a.read()
        return json.loads(text) if text else None

    def login(self, user=None, password=None, project=None):
        """A token of the administrator, or of another user."""
        body = {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": user or self.user, "domain": {"id": "default"},
                "password": password or self.password}}},
            "scope": {"project": {"name": project or self.project, "domain": {"id": "default"}}}}}
        r = urllib.request.Request(self.auth_url + "/auth/tokens",
                                   data=json.dumps(body).encode(),
                                   headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(r, timeout=60) as a:
            return a.headers["X-Subject-Token"]


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Cloud() as it:
        for name, seconds in it.timings:
            print("%-20s %6.1f s" % (name, seconds))
        print(it.auth_url, it.password, it.dir)
        sys.stdout.flush()
        signal.pause()
