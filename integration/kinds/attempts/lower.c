// lower N FILE: reads the file once, with a priority that is lower by N. busybox has no nice, and its cat tries again what fails.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char text[4096];
	int file;

	if (argc != 3 || nice(atoi(argv[1])) < 0)
		return 2;
	file = open(argv[2], O_RDONLY);
	return file < 0 || read(file, text, sizeof(text)) <= 0;
}
