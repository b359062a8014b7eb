# In a resource "azurerm_linux_virtual_machine":
custom_data = base64encode(<<SUPERCLOUD
#cloud-config
# A new Supercloud: this machine is its controller.  The dashboard's address
# and the first password appear on the serial console.
# Azure: Create a virtual machine, Advanced, Custom data (65535 bytes).
# Xen cannot run at Azure: guests need KVM, so a size with nested virtualisation.
supercloud:
  role: controller
  region: westeurope
  provider: azure
  hypervisor: qemu
  console_name: cloud.example.org
  acme_email: owner@example.org
SUPERCLOUD
)
