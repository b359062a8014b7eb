# In a resource "aws_instance":
user_data = <<SUPERCLOUD
#cloud-config
# A new Supercloud: this machine is its controller.  The dashboard's address
# and the first password appear on the serial console.
# EC2: Launch instance, Advanced details, User data (16384 bytes).
# Metadata version: V2 only (token required).
supercloud:
  role: controller
  region: us-east-1
  provider: ec2
  console_name: cloud.example.org
  acme_email: owner@example.org
SUPERCLOUD
