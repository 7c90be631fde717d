# How people reach the private control plane: through an instance by Session Manager, or by VPN.
# The instance accepts no connection; Session Manager's agent calls out.

data "aws_ssm_parameter" "bastion_image" {
  count = var.bastion ? 1 : 0
  name  = var.bastion_image_parameter
}

resource "aws_security_group" "bastion" {
  name        = "${local.name}-bastion"
  description = "Sessions of people to the control plane"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${local.name}-bastion" }
}

resource "aws_vpc_security_group_egress_rule" "bastion" {
  security_group_id = aws_security_group.bastion.id
  description       = "HTTPS: Session Manager and the control plane"
  cidr_ipv4         = var.cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

module "bastion_role" {
  source = "../modules/role"

  name                 = "${local.name}-bastion"
  description          = "Instance for Session Manager"
  permissions_boundary = local.boundary
  managed_policy_arns  = ["arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"]
  trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_instance_profile" "bastion" {
  name = "${local.name}-bastion"
  role = module.bastion_role.name
}

resource "aws_instance" "bastion" {
  count                       = var.bastion ? 1 : 0
  ami                         = data.aws_ssm_parameter.bastion_image[0].insecure_value
  instance_type               = "t4g.nano"
  subnet_id                   = aws_subnet.private[var.zones[0]].id
  vpc_security_group_ids      = [aws_security_group.bastion.id]
  iam_instance_profile        = aws_iam_instance_profile.bastion.name
  associate_public_ip_address = false
  ebs_optimized               = true
  monitoring                  = true

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    encrypted   = true
    volume_type = "gp3"
    volume_size = 8
  }

  lifecycle {
    # A new image is taken by -replace, not by the next plan.
    ignore_changes = [ami]
  }

  tags = { Name = "${local.name}-bastion" }
}

resource "aws_cloudwatch_log_group" "vpn" {
  count             = var.vpn == null ? 0 : 1
  name              = "/birthday/${var.environment}/network/vpn"
  retention_in_days = var.log_retention_days
  kms_key_id        = module.logs_key.arn
}

resource "aws_ec2_client_vpn_endpoint" "this" {
  count                  = var.vpn == null ? 0 : 1
  description            = local.name
  client_cidr_block      = var.vpn.cidr
  server_certificate_arn = var.vpn.server_certificate_arn
  split_tunnel           = true
  vpc_id                 = aws_vpc.this.id
  security_group_ids     = [aws_security_group.bastion.id]

  authentication_options {
    type              = "federated-authentication"
    saml_provider_arn = var.vpn.saml_provider_arn
  }

  connection_log_options {
    enabled              = true
    cloudwatch_log_group = aws_cloudwatch_log_group.vpn[0].name
  }
}

resource "aws_ec2_client_vpn_network_association" "this" {
  for_each               = var.vpn == null ? {} : local.private
  client_vpn_endpoint_id = aws_ec2_client_vpn_endpoint.this[0].id
  subnet_id              = aws_subnet.private[each.key].id
}

resource "aws_ec2_client_vpn_authorization_rule" "this" {
  count                  = var.vpn == null ? 0 : 1
  client_vpn_endpoint_id = aws_ec2_client_vpn_endpoint.this[0].id
  target_network_cidr    = var.cidr
  authorize_all_groups   = true
}
