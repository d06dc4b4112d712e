/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A part of livepatch-main.c, where a diff object has KPATCH_ATTEMPT(): the
 * parameter by which the counts are read.
 *
 *	# cat /sys/module/livepatch_fix/parameters/attempts
 *	CVE-2026-1234 17
 *
 * For root alone: who tries shall not learn that it is counted.
 */
static unsigned long attempts_by(const char *name)
{
	const struct kpatch_attempts *entry;
	unsigned long sum = 0;

	for (entry = kpatch_attempts_begin; entry < kpatch_attempts_end; entry++) {
		if (!strcmp(entry->name, name))
			sum += atomic_long_read(&entry->count);
	}
	return sum;
}

static bool is_first_of_its_name(const struct kpatch_attempts *entry)
{
	const struct kpatch_attempts *other;

	for (other = kpatch_attempts_begin; other < entry; other++) {
		if (!strcmp(other->name, entry->name))
			return false;
	}
	return true;
}

/* Whole lines, as many as a page of sysfs holds: about a hundred. */
static int get_attempts(char *buffer, const struct kernel_param *kp)
{
	const struct kpatch_attempts *entry;
	char line[sizeof(entry->name) + sizeof(" 18446744073709551615\n")];
	int size = 0;

	for (entry = kpatch_attempts_begin; entry < kpatch_attempts_end; entry++) {
		int length;

		if (!is_first_of_its_name(entry))
			continue;
		length = scnprintf(line, sizeof(line), "%s %lu\n", entry->name,
				   attempts_by(entry->name));
		if (size + length >= PAGE_SIZE)
			break;
		memcpy(buffer + size, line, length);
		size += length;
	}
	return size;
}

/* The kernel calls it without a look where insmod is given a value. */
static int set_attempts(const char *value, const struct kernel_param *kp)
{
	return -EPERM;
}

static const struct kernel_param_ops attempts_ops = {
	.get = get_attempts,
	.set = set_attempts,
};
module_param_cb(attempts, &attempts_ops, NULL, 0400);
MODULE_PARM_DESC(attempts, "How often what a fix refuses was tried, by KPATCH_ATTEMPT().");
