# What other layers read, in one parameter.

locals {
  published = {
    zone_id                       = aws_route53_zone.this.zone_id
    hostname                      = var.hostname
    load_balancer_certificate_arn = aws_acm_certificate_validation.load_balancer.certificate_arn
    load_balancer_suffix          = one(data.aws_lb.this[*].arn_suffix)
    distribution_id               = one(aws_cloudfront_distribution.this[*].id)
    health_check_id               = one(aws_route53_health_check.this[*].id)
    web_acl_name                  = aws_wafv2_web_acl.this.name
  }
}

resource "aws_ssm_parameter" "published" {
  name        = "/birthday/${var.environment}/edge"
  description = "What the layer edge publishes"
  type        = "String"
  value       = jsonencode({ edge = local.published })
}

output "published" {
  description = "What other layers read."
  value       = local.published
}

output "name_servers" {
  description = "Servers of the zone, to which its parent delegates."
  value       = aws_route53_zone.this.name_servers
}
