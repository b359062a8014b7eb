# In a resource "google_compute_instance":
metadata = {
  user-data = <<SUPERCLOUD
#cloud-config
# A new Supercloud: this machine is its controller.  The dashboard's address
# and the first password appear on the serial console.
# GCE: Create instance, Advanced, Management, Metadata: key 'user-data'.
supercloud:
  role: controller
  region: europe-west1
  provider: gce
  console_name: cloud.example.org
  acme_email: owner@example.org
SUPERCLOUD
}
