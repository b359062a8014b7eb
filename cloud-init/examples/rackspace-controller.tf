# In a resource "openstack_compute_instance_v2":
user_data = <<SUPERCLOUD
#cloud-config
# A new Supercloud: this machine is its controller.  The dashboard's address
# and the first password appear on the serial console.
# Rackspace: Launch instance, Configuration, Customization script.
supercloud:
  role: controller
  region: SJC3
  provider: rackspace
  console_name: cloud.example.org
  acme_email: owner@example.org
SUPERCLOUD
