# What other layers read, in one parameter.

locals {
  published = {
    vpc_id                    = aws_vpc.this.id
    cidr                      = var.cidr
    load_balancer_subnet_ids  = [for zone in var.zones : aws_subnet.load_balancer[zone].id]
    private_subnet_ids        = [for zone in var.zones : aws_subnet.private[zone].id]
    private_cidrs             = [for zone in var.zones : local.private[zone]]
    database_subnet_ids       = [for zone in var.zones : aws_subnet.database[zone].id]
    bastion_security_group_id = aws_security_group.bastion.id
  }
}

resource "aws_ssm_parameter" "published" {
  name        = "/birthday/${var.environment}/network"
  description = "What the layer network publishes"
  type        = "String"
  value       = jsonencode({ network = local.published })
}

output "published" {
  description = "What other layers read."
  value       = local.published
}

output "nat_addresses" {
  description = "Addresses from which the VPC calls others."
  value       = [for address in aws_eip.nat : address.public_ip]
}
