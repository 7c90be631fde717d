# The zone, and the certificates: CloudFront's in us-east-1, the load balancer's in the region.

resource "aws_route53_zone" "this" {
  name    = var.zone
  comment = local.name
}

locals {
  # The health check must see the primary also while the name leads to the secondary.
  primary_hostname = "primary.${var.hostname}"
  names            = concat([var.hostname], var.secondary == null ? [] : [local.primary_hostname])
}

# Only Amazon makes certificates for the domain.
resource "aws_route53_record" "authorities" {
  zone_id = aws_route53_zone.this.zone_id
  name    = var.zone
  type    = "CAA"
  ttl     = 3600
  records = ["0 issue \"amazon.com\"", "0 issuewild \"amazon.com\""]
}

resource "aws_acm_certificate" "edge" {
  provider                  = aws.global
  domain_name               = var.hostname
  subject_alternative_names = slice(local.names, 1, length(local.names))
  validation_method         = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_acm_certificate" "load_balancer" {
  domain_name               = var.hostname
  subject_alternative_names = slice(local.names, 1, length(local.names))
  validation_method         = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

# Both certificates of one account are proved by the same record.
resource "aws_route53_record" "validation" {
  for_each        = toset(local.names)
  zone_id         = aws_route53_zone.this.zone_id
  name            = one([for option in aws_acm_certificate.edge.domain_validation_options : option.resource_record_name if option.domain_name == each.key])
  type            = one([for option in aws_acm_certificate.edge.domain_validation_options : option.resource_record_type if option.domain_name == each.key])
  records         = [one([for option in aws_acm_certificate.edge.domain_validation_options : option.resource_record_value if option.domain_name == each.key])]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "edge" {
  provider                = aws.global
  certificate_arn         = aws_acm_certificate.edge.arn
  validation_record_fqdns = [for record in aws_route53_record.validation : record.fqdn]
}

resource "aws_acm_certificate_validation" "load_balancer" {
  certificate_arn         = aws_acm_certificate.load_balancer.arn
  validation_record_fqdns = [for record in aws_route53_record.validation : record.fqdn]
}

# The records of the service.

locals {
  families = toset(["A", "AAAA"])
}

resource "aws_route53_health_check" "this" {
  count             = local.serving
  fqdn              = var.secondary == null ? var.hostname : local.primary_hostname
  type              = "HTTPS"
  port              = 443
  resource_path     = "/health"
  request_interval  = 10
  failure_threshold = 3

  tags = { Name = local.name }
}

resource "aws_route53_record" "primary" {
  for_each        = var.serve ? local.families : []
  zone_id         = aws_route53_zone.this.zone_id
  name            = var.hostname
  type            = each.key
  set_identifier  = var.secondary == null ? null : "primary"
  health_check_id = var.secondary == null ? null : aws_route53_health_check.this[0].id

  alias {
    name                   = aws_cloudfront_distribution.this[0].domain_name
    zone_id                = aws_cloudfront_distribution.this[0].hosted_zone_id
    evaluate_target_health = false
  }

  dynamic "failover_routing_policy" {
    for_each = var.secondary == null ? [] : ["PRIMARY"]

    content {
      type = failover_routing_policy.value
    }
  }
}

resource "aws_route53_record" "secondary" {
  count          = var.serve && var.secondary != null ? 1 : 0
  zone_id        = aws_route53_zone.this.zone_id
  name           = var.hostname
  type           = "A"
  set_identifier = "secondary"

  alias {
    name                   = var.secondary.domain_name
    zone_id                = var.secondary.zone_id
    evaluate_target_health = true
  }

  failover_routing_policy {
    type = "SECONDARY"
  }
}

# Where the health check looks.
resource "aws_route53_record" "checked" {
  for_each = var.serve && var.secondary != null ? local.families : []
  zone_id  = aws_route53_zone.this.zone_id
  name     = local.primary_hostname
  type     = each.key

  alias {
    name                   = aws_cloudfront_distribution.this[0].domain_name
    zone_id                = aws_cloudfront_distribution.this[0].hosted_zone_id
    evaluate_target_health = false
  }
}
