// Loads a module as it is, and with another type for its table of section names.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char image[4 << 20];

static int load(const char *name, size_t size)
{
	if (syscall(SYS_init_module, image, size, ""))
		return errno;
	syscall(SYS_delete_module, name, 0);
	return 0;
}

int main(int argc, char **argv)
{
	FILE *file = fopen(argv[argc - 1], "r");
	Elf64_Ehdr *header = (void *)image;
	char name[100] = {};
	int whole, torn;
	size_t size;

	if (!file || (size = fread(image, 1, sizeof(image), file)) < sizeof(*header)) {
		perror("read");
		return 1;
	}
	memcpy(name, argv[argc - 1], strlen(argv[argc - 1]) - 3);
	whole = load(name, size);
	((Elf64_Shdr *)(image + header->e_shoff))[header->e_shstrndx].sh_type = SHT_PROGBITS;
	torn = load(name, size);
	if (whole == 0 && torn == ENOEXEC)
		puts("fixed");
	else if (whole == 0 && torn == 0)
		puts("broken");
	else
		printf("%s, %s\n", strerror(whole), strerror(torn));
	return 0;
}
