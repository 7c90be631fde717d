# The bucket is made by hand: the management account has nothing else.
bucket       = "birthday-management-terraform-states-123456789012"
region       = "eu-central-1"
encrypt      = true
use_lockfile = true
