# CloudFront, the only thing that the internet reaches. It calls the internal load balancer through a VPC origin.

locals {
  serving = var.serve ? 1 : 0
}

# The controller of the cluster makes it, and tags it.
data "aws_lb" "this" {
  count = local.serving

  tags = {
    "elbv2.k8s.aws/cluster"    = local.name
    "ingress.k8s.aws/stack"    = var.ingress
    "ingress.k8s.aws/resource" = "LoadBalancer"
  }

  lifecycle {
    postcondition {
      condition     = self.internal
      error_message = "The load balancer is public. The chart's annotation alb.ingress.kubernetes.io/scheme must be internal."
    }
  }
}

resource "aws_cloudfront_vpc_origin" "this" {
  count = local.serving

  vpc_origin_endpoint_config {
    name                   = local.name
    arn                    = data.aws_lb.this[0].arn
    http_port              = 80
    https_port             = 443
    origin_protocol_policy = "https-only"

    origin_ssl_protocols {
      items    = ["TLSv1.2"]
      quantity = 1
    }
  }
}

resource "aws_cloudfront_response_headers_policy" "this" {
  name    = local.name
  comment = "Browsers use HTTPS for two years"

  security_headers_config {
    strict_transport_security {
      access_control_max_age_sec = 63072000
      include_subdomains         = true
      override                   = true
    }

    content_type_options {
      override = true
    }
  }
}

locals {
  # Managed by AWS: nothing is cached (a birthday is new each day, and a PUT must be seen at once), and everything is passed on, with the
  # name that the caller used, which the load balancer's certificate and rule have.
  caching_disabled = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
  all_viewer       = "216adef6-5c7f-47e4-b989-5492eafa07d3"
}

resource "aws_cloudfront_distribution" "this" {
  count           = local.serving
  enabled         = true
  comment         = local.name
  aliases         = local.names
  http_version    = "http2and3"
  is_ipv6_enabled = true
  price_class     = var.price_class
  web_acl_id      = aws_wafv2_web_acl.this.arn

  origin {
    origin_id   = "load-balancer"
    domain_name = data.aws_lb.this[0].dns_name

    vpc_origin_config {
      vpc_origin_id       = aws_cloudfront_vpc_origin.this[0].id
      origin_read_timeout = 30
      # Less than the load balancer's 60 s, so that it does not close a connection which is just used again.
      origin_keepalive_timeout = 50
    }
  }

  default_cache_behavior {
    target_origin_id           = "load-balancer"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
    cached_methods             = ["GET", "HEAD"]
    cache_policy_id            = local.caching_disabled
    origin_request_policy_id   = local.all_viewer
    response_headers_policy_id = aws_cloudfront_response_headers_policy.this.id
  }

  viewer_certificate {
    acm_certificate_arn      = aws_acm_certificate_validation.edge.certificate_arn
    minimum_protocol_version = "TLSv1.2_2021"
    ssl_support_method       = "sni-only"
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }
}

# What was asked. Paths have names of users: the log is encrypted, and is kept no longer than it must.

module "logs_key" {
  source    = "../modules/key"
  providers = { aws = aws.global }

  name        = "${local.name}-edge-logs"
  description = "Logs of the edge"
  account_id  = var.account_id
  services = {
    "logs.us-east-1.amazonaws.com" = {
      ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:us-east-1:${var.account_id}:log-group:*${local.name}-edge*" }
    }
  }
}

resource "aws_cloudwatch_log_group" "requests" {
  provider          = aws.global
  name              = "${local.name}-edge/requests"
  retention_in_days = var.log_retention_days
  kms_key_id        = module.logs_key.arn
}

resource "aws_cloudwatch_log_delivery_source" "requests" {
  count        = local.serving
  provider     = aws.global
  name         = "${local.name}-edge"
  log_type     = "ACCESS_LOGS"
  resource_arn = aws_cloudfront_distribution.this[0].arn
}

resource "aws_cloudwatch_log_delivery_destination" "requests" {
  provider      = aws.global
  name          = "${local.name}-edge"
  output_format = "json"

  delivery_destination_configuration {
    destination_resource_arn = aws_cloudwatch_log_group.requests.arn
  }
}

resource "aws_cloudwatch_log_delivery" "requests" {
  count                    = local.serving
  provider                 = aws.global
  delivery_source_name     = aws_cloudwatch_log_delivery_source.requests[0].name
  delivery_destination_arn = aws_cloudwatch_log_delivery_destination.requests.arn
}
