# The state of each layer, in the account of the environment. The layers have the key of the object.
bucket       = "birthday-staging-terraform-states-123456789012"
region       = "eu-central-1"
kms_key_id   = "alias/birthday-staging-terraform"
encrypt      = true
use_lockfile = true
