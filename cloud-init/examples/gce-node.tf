# In a resource "google_compute_instance":
metadata = {
  user-data = <<SUPERCLOUD
#cloud-config
# A node of a Supercloud.  The token is a secret until it has been used.
# GCE: Create instance, Advanced, Management, Metadata: key 'user-data'.
supercloud:
  role: node
  controller: cloud.example.org:7443
  token: sct1.3f0c9a2e.mR8yQ1s0vXkL5tBwZpAe2g.9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  region: europe-west1
  provider: gce
SUPERCLOUD
}
