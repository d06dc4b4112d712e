// SPDX-License-Identifier: GPL-2.0-only
#include "behaviour.h"
#include <linux/irq.h>
#include <linux/irqdomain.h>

static int allocated, freed;

/* Leaves no chip, which a domain has to set. */
static int allocate(struct irq_domain *domain, unsigned int irq, unsigned int number, void *argument)
{
	irq_get_irq_data(irq)->chip = NULL;
	allocated += number;
	return 0;
}

static void give_back(struct irq_domain *domain, unsigned int irq, unsigned int number)
{
	freed += number;
}

static const struct irq_domain_ops operations = { .alloc = allocate, .free = give_back };

static int __init probe(void)
{
	struct fwnode_handle *node = irq_domain_alloc_named_fwnode("behaviour");
	struct irq_domain *domain = node ? irq_domain_create_linear(node, 4, &operations, NULL) : NULL;
	int irq;

	if (!domain)
		return -ENOMEM;
	irq = irq_domain_alloc_irqs(domain, 1, NUMA_NO_NODE, NULL);
	irq_domain_remove(domain);
	irq_domain_free_fwnode(node);
	return behaviour_verdict(irq == -EINVAL && allocated == 1 && freed == 1,
				 irq == -EINVAL && allocated == 1 && freed == 0, irq);
}
behaviour_module(probe);
