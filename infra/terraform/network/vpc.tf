# The VPC, in four tiers. A /16 is divided as charts/hello-api/values.aws.yaml expects:
#
#   x.x.0.0/20   public subnets (NAT gateways only), and in x.x.4.0/22 those of the load balancer
#   x.x.16.0/20, x.x.32.0/20, x.x.48.0/20   nodes and pods, a zone each
#   x.x.64.0/20  databases

locals {
  entry_cidr         = cidrsubnet(var.cidr, 4, 0)
  load_balancer_cidr = cidrsubnet(local.entry_cidr, 2, 1)
  database_cidr      = cidrsubnet(var.cidr, 4, 4)

  zones         = { for index, zone in var.zones : zone => index }
  public        = { for zone, index in local.zones : zone => cidrsubnet(local.entry_cidr, 4, index) }
  load_balancer = { for zone, index in local.zones : zone => cidrsubnet(local.load_balancer_cidr, 2, index) }
  private       = { for zone, index in local.zones : zone => cidrsubnet(var.cidr, 4, index + 1) }
  database      = { for zone, index in local.zones : zone => cidrsubnet(local.database_cidr, 2, index) }

  nat_zones = { "per-zone" = var.zones, single = slice(var.zones, 0, 1), none = [] }[var.nat]
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = local.name }
}

# Nobody uses it: what forgets to name a group gets no connection.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
}

# CloudFront's VPC origins need it, too, without a route to it.
resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = local.name }
}

resource "aws_subnet" "public" {
  for_each                = local.public
  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false

  # Without kubernetes.io/role/elb no controller puts a load balancer here.
  tags = { Name = "${local.name}-public-${each.key}", tier = "public" }
}

resource "aws_subnet" "load_balancer" {
  for_each                = local.load_balancer
  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false

  tags = {
    Name                              = "${local.name}-load-balancer-${each.key}"
    tier                              = "load-balancer"
    "kubernetes.io/role/internal-elb" = "1"
  }
}

resource "aws_subnet" "private" {
  for_each                = local.private
  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false

  tags = {
    Name                     = "${local.name}-private-${each.key}"
    tier                     = "private"
    "karpenter.sh/discovery" = local.name
  }
}

resource "aws_subnet" "database" {
  for_each                = local.database
  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false

  tags = { Name = "${local.name}-database-${each.key}", tier = "database" }
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)
  domain   = "vpc"

  tags = { Name = "${local.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "this" {
  for_each      = toset(local.nat_zones)
  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id

  tags       = { Name = "${local.name}-${each.key}" }
  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${local.name}-public" }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each       = local.public
  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  for_each = local.private
  vpc_id   = aws_vpc.this.id

  tags = { Name = "${local.name}-private-${each.key}" }
}

resource "aws_route" "nat" {
  for_each               = length(local.nat_zones) == 0 ? {} : local.private
  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[var.nat == "per-zone" ? each.key : var.zones[0]].id
}

resource "aws_route_table_association" "private" {
  for_each       = local.private
  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private[each.key].id
}

# Load balancer and databases answer within the VPC: no route leads out.
resource "aws_route_table" "isolated" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${local.name}-isolated" }
}

resource "aws_route_table_association" "load_balancer" {
  for_each       = local.load_balancer
  subnet_id      = aws_subnet.load_balancer[each.key].id
  route_table_id = aws_route_table.isolated.id
}

resource "aws_route_table_association" "database" {
  for_each       = local.database
  subnet_id      = aws_subnet.database[each.key].id
  route_table_id = aws_route_table.isolated.id
}
