/* io_open: opening and closing files, and what concerns a file as a whole. */
#include "io.h"

#include <sys/stat.h>
#include <unistd.h>

TEST(io_open_modes, 1, "MPI-5.0 section 14.2.1", "MPI_File_open MPI_File_close MPI_File_delete MPI_File_get_amode") {
  const char *name = "io_open_modes.tmp";
  MPI_File file;
  int amode = 0, out = value(0, 7), in = 0;
  MPI_Status status;
  if (rank == 0) MPI_File_delete(name, MPI_INFO_NULL);
  MPI_Barrier(comm);
  CHECK_CLASS(MPI_File_open(comm, name, MPI_MODE_RDONLY, MPI_INFO_NULL, &file), MPI_ERR_NO_SUCH_FILE);
  CHECK_INT(MPI_File_open(comm, name, MPI_MODE_CREATE | MPI_MODE_WRONLY, MPI_INFO_NULL, &file), MPI_SUCCESS);
  CHECK_INT(MPI_File_get_amode(file, &amode), MPI_SUCCESS);
  CHECK_INT(amode, MPI_MODE_CREATE | MPI_MODE_WRONLY);
  CHECK_INT(MPI_File_write_at(file, 4 * rank, &out, 1, MPI_INT, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, MPI_INT), 1);
  CHECK_CLASS2(MPI_File_read_at(file, 0, &in, 1, MPI_INT, &status), MPI_ERR_ACCESS, MPI_ERR_UNSUPPORTED_OPERATION);
  MPI_File_close(&file);
  CHECK(file == MPI_FILE_NULL);
  CHECK_CLASS(MPI_File_open(comm, name, MPI_MODE_CREATE | MPI_MODE_EXCL | MPI_MODE_RDWR, MPI_INFO_NULL, &file),
              MPI_ERR_FILE_EXISTS);
  CHECK_INT(MPI_File_open(comm, name, MPI_MODE_RDONLY | MPI_MODE_DELETE_ON_CLOSE, MPI_INFO_NULL, &file), MPI_SUCCESS);
  CHECK_INT(MPI_File_read_at(file, 4 * (size - 1), &in, 1, MPI_INT, &status), MPI_SUCCESS);
  CHECK_INT(in, out);
  CHECK_CLASS2(MPI_File_write_at(file, 0, &in, 1, MPI_INT, &status), MPI_ERR_READ_ONLY, MPI_ERR_ACCESS);
  MPI_File_close(&file);
  CHECK_CLASS(MPI_File_open(comm, name, MPI_MODE_RDONLY, MPI_INFO_NULL, &file), MPI_ERR_NO_SUCH_FILE);
  MPI_Barrier(comm);
  CHECK_CLASS(MPI_File_delete(name, MPI_INFO_NULL), MPI_ERR_NO_SUCH_FILE);
}

TEST(io_open_amode_errors, 1, "MPI-5.0 section 14.2.1", "MPI_File_open") {
  MPI_File file;
  const int bad[] = {0, MPI_MODE_RDONLY | MPI_MODE_RDWR, MPI_MODE_WRONLY | MPI_MODE_RDWR, MPI_MODE_RDONLY | MPI_MODE_CREATE,
                     MPI_MODE_RDONLY | MPI_MODE_EXCL, MPI_MODE_RDWR | MPI_MODE_SEQUENTIAL};
  for (int i = 0; i < (int)(sizeof bad / sizeof *bad); i++)
    CHECK_CLASS(MPI_File_open(comm, "io_open_amode_errors.tmp", bad[i], MPI_INFO_NULL, &file), MPI_ERR_AMODE);
}

TEST(io_open_subset, 2, "MPI-5.0 section 14.2.1", "MPI_File_open MPI_File_get_group") {
  MPI_Comm half;
  MPI_Group got, want;
  MPI_File file;
  int same = MPI_UNEQUAL, x = value(rank, 1), y = 0;
  char name[64];
  MPI_Comm_split(comm, rank % 2, -rank, &half);
  snprintf(name, sizeof name, "io_open_subset%d.tmp", rank % 2);
  CHECK_INT(MPI_File_open(half, name, MPI_MODE_CREATE | MPI_MODE_RDWR | MPI_MODE_DELETE_ON_CLOSE, MPI_INFO_NULL, &file),
            MPI_SUCCESS);
  MPI_File_get_group(file, &got);
  MPI_Comm_group(half, &want);
  MPI_Comm_free(&half); /* the file has its own */
  MPI_Group_compare(got, want, &same);
  CHECK_INT(same, MPI_IDENT);
  MPI_Group_free(&got);
  MPI_Group_free(&want);
  MPI_File_write_at_all(file, 4 * (rank / 2), &x, 1, MPI_INT, MPI_STATUS_IGNORE);
  MPI_File_read_at_all(file, 4 * (rank / 2), &y, 1, MPI_INT, MPI_STATUS_IGNORE);
  CHECK_INT(y, x);
  MPI_File_close(&file);
}

TEST(io_open_append, 1, "MPI-5.0 section 14.2.1", "MPI_File_open MPI_File_get_position MPI_File_get_position_shared") {
  MPI_File file = io_open("io_open_append.tmp"), again;
  MPI_Offset at = -1;
  MPI_File_set_size(file, 24);
  CHECK_INT(MPI_File_open(comm, io_name, MPI_MODE_RDWR | MPI_MODE_APPEND, MPI_INFO_NULL, &again), MPI_SUCCESS);
  MPI_File_get_position(again, &at);
  CHECK_INT(at, 24);
  MPI_File_get_position_shared(again, &at);
  CHECK_INT(at, 24);
  MPI_File_close(&again);
  MPI_File_get_position(file, &at);
  CHECK_INT(at, 0);
  io_close(&file);
}

TEST(io_open_size, 1, "MPI-5.0 section 14.2.4", "MPI_File_set_size MPI_File_get_size MPI_File_preallocate") {
  MPI_File file = io_open("io_open_size.tmp");
  MPI_Offset bytes = -1;
  char buf[8];
  MPI_Status status;
  MPI_File_get_size(file, &bytes);
  CHECK_INT(bytes, 0);
  CHECK_INT(MPI_File_set_size(file, 1000), MPI_SUCCESS);
  MPI_File_get_size(file, &bytes);
  CHECK_INT(bytes, 1000);
  CHECK_INT(MPI_File_preallocate(file, 500), MPI_SUCCESS);
  MPI_File_get_size(file, &bytes);
  CHECK_INT(bytes, 1000);
  CHECK_INT(MPI_File_preallocate(file, 5000), MPI_SUCCESS);
  MPI_File_get_size(file, &bytes);
  CHECK_INT(bytes, 5000);
  MPI_Barrier(comm);
  CHECK_INT(MPI_File_set_size(file, 996), MPI_SUCCESS);
  MPI_File_get_size(file, &bytes);
  CHECK_INT(bytes, 996);
  CHECK_INT(MPI_File_read_at(file, 992, buf, 8, MPI_BYTE, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, MPI_BYTE), 4);
  CHECK_INT(MPI_File_read_at(file, 2000, buf, 8, MPI_BYTE, &status), MPI_SUCCESS);
  CHECK_INT(io_count(&status, MPI_BYTE), 0);
  CHECK_CLASS(MPI_File_set_size(file, -1), MPI_ERR_ARG);
  io_close(&file);
}

TEST(io_open_info, 1, "MPI-5.0 section 14.2.8", "MPI_File_set_info MPI_File_get_info") {
  MPI_File file = io_open("io_open_info.tmp");
  MPI_Info hints, used;
  char text[64] = "";
  int flag = 0;
  MPI_Info_create(&hints);
  MPI_Info_set(hints, "cb_buffer_size", "1048576");
  MPI_Info_set(hints, "no_such_hint_of_files", "1");
  CHECK_INT(MPI_File_set_info(file, hints), MPI_SUCCESS);
  MPI_Info_free(&hints);
  MPI_File_get_info(file, &used);
  MPI_Info_get(used, "cb_buffer_size", sizeof text - 1, text, &flag);
  CHECK(flag);
  CHECK_STR(text, "1048576");
  MPI_Info_free(&used);
  io_close(&file);
}

TEST(io_open_many, 1, "MPI-5.0 section 14.2.1", "MPI_File_open MPI_File_close") {
  MPI_File files[10];
  char name[64];
  int x;
  for (int i = 0; i < 10; i++) {
    snprintf(name, sizeof name, "io_open_many%d.tmp", i);
    CHECK_INT(MPI_File_open(comm, name, MPI_MODE_CREATE | MPI_MODE_RDWR | MPI_MODE_DELETE_ON_CLOSE, MPI_INFO_NULL, &files[i]),
              MPI_SUCCESS);
    x = value(rank, i);
    MPI_File_write_at(files[i], 4 * rank, &x, 1, MPI_INT, MPI_STATUS_IGNORE);
  }
  MPI_Barrier(comm);
  for (int i = 9; i >= 0; i--) {
    MPI_File_read_at(files[i], 4 * rank, &x, 1, MPI_INT, MPI_STATUS_IGNORE);
    IO_IS(x, rank, i);
    MPI_File_close(&files[i]);
  }
}

/* A relative name is one in the directory where the program is by then. */
TEST(io_open_directory, 1, "MPI-5.0 section 14.2.1", "MPI_File_open MPI_File_delete") {
  MPI_File file;
  int x = 3;
  if (rank == 0) mkdir("io_open_directory.tmp", 0777);
  MPI_Barrier(comm);
  CHECK_INT(chdir("io_open_directory.tmp"), 0);
  CHECK_INT(MPI_File_open(comm, "inside", MPI_MODE_CREATE | MPI_MODE_RDWR, MPI_INFO_NULL, &file), MPI_SUCCESS);
  CHECK_INT(chdir(".."), 0);
  MPI_File_write_at_all(file, 4 * rank, &x, 1, MPI_INT, MPI_STATUS_IGNORE);
  MPI_File_close(&file);
  CHECK_CLASS(MPI_File_delete("inside", MPI_INFO_NULL), MPI_ERR_NO_SUCH_FILE);
  MPI_Barrier(comm);
  if (rank == 0) {
    CHECK_INT(MPI_File_delete("io_open_directory.tmp/inside", MPI_INFO_NULL), MPI_SUCCESS);
    CHECK_INT(rmdir("io_open_directory.tmp"), 0);
  }
}

static int handled, handled_class;

static void note(MPI_File *file, int *code, ...) {
  (void)file;
  handled++;
  MPI_Error_class(*code, &handled_class);
}

TEST(io_open_errhandler, 1, "MPI-5.0 section 14.7",
     "MPI_File_create_errhandler MPI_File_set_errhandler MPI_File_get_errhandler MPI_File_call_errhandler") {
  MPI_Errhandler handler, got;
  MPI_File file;
  MPI_File_get_errhandler(MPI_FILE_NULL, &got);
  CHECK(got == MPI_ERRORS_RETURN);
  file = io_open("io_open_errhandler.tmp");
  MPI_File_get_errhandler(file, &got);
  CHECK(got == MPI_ERRORS_RETURN);
  MPI_File_create_errhandler(note, &handler);
  MPI_File_set_errhandler(file, handler);
  handled = 0;
  CHECK_CLASS(MPI_File_set_size(file, -1), MPI_ERR_ARG);
  CHECK_INT(handled, 1);
  CHECK_INT(handled_class, MPI_ERR_ARG);
  MPI_File_call_errhandler(file, MPI_ERR_IO);
  CHECK_INT(handled, 2);
  CHECK_INT(handled_class, MPI_ERR_IO);
  MPI_File_set_errhandler(file, MPI_ERRORS_RETURN);
  /* What is raised on no file is the null file's, and files that are opened later begin with that. */
  MPI_File_set_errhandler(MPI_FILE_NULL, handler);
  CHECK_CLASS(MPI_File_delete("io_open_errhandler_none.tmp", MPI_INFO_NULL), MPI_ERR_NO_SUCH_FILE);
  CHECK_INT(handled, 3);
  MPI_File_set_errhandler(MPI_FILE_NULL, MPI_ERRORS_RETURN);
  MPI_Errhandler_free(&handler);
  io_close(&file);
}

TEST(io_open_sequential, 1, "MPI-5.0 section 14.2.1", "MPI_File_open MPI_File_write_shared") {
  const char *name = "io_open_sequential.tmp";
  MPI_File file;
  int x = 5;
  MPI_Offset at;
  if (rank == 0) MPI_File_delete(name, MPI_INFO_NULL);
  MPI_Barrier(comm);
  CHECK_INT(MPI_File_open(comm, name, MPI_MODE_CREATE | MPI_MODE_WRONLY | MPI_MODE_SEQUENTIAL | MPI_MODE_DELETE_ON_CLOSE,
                          MPI_INFO_NULL, &file),
            MPI_SUCCESS);
  CHECK_CLASS(MPI_File_write_at(file, 0, &x, 1, MPI_INT, MPI_STATUS_IGNORE), MPI_ERR_UNSUPPORTED_OPERATION);
  CHECK_CLASS(MPI_File_write(file, &x, 1, MPI_INT, MPI_STATUS_IGNORE), MPI_ERR_UNSUPPORTED_OPERATION);
  CHECK_CLASS(MPI_File_seek(file, 0, MPI_SEEK_SET), MPI_ERR_UNSUPPORTED_OPERATION);
  CHECK_INT(MPI_File_write_shared(file, &x, 1, MPI_INT, MPI_STATUS_IGNORE), MPI_SUCCESS);
  MPI_Barrier(comm);
  MPI_File_get_position_shared(file, &at);
  CHECK_INT(at, 4 * size);
  CHECK_INT(MPI_File_set_view(file, MPI_DISPLACEMENT_CURRENT, MPI_INT, MPI_INT, "native", MPI_INFO_NULL), MPI_SUCCESS);
  MPI_File_get_position_shared(file, &at);
  CHECK_INT(at, 0);
  MPI_Barrier(comm);
  MPI_File_write_ordered(file, &x, 1, MPI_INT, MPI_STATUS_IGNORE);
  MPI_File_get_size(file, &at);
  MPI_Barrier(comm);
  MPI_File_get_size(file, &at);
  CHECK_INT(at, 8 * size);
  MPI_File_close(&file);
}

/* What fails on one rank alone leaves no other waiting, and the file is open on none, or as it was. */
TEST(io_open_one_fails, 2, "MPI-5.0 section 14.7", "MPI_File_open MPI_File_set_view MPI_File_set_size MPI_File_close") {
  MPI_File file = MPI_FILE_NULL;
  MPI_Datatype raw;
  int x = 1, y = 0;
  for (int at = 0; at < size; at++) {
    const char *name = rank == at ? "io_open_one_fails.none/file" : "io_open_one_fails.tmp";
    CHECK(MPI_File_open(comm, name, MPI_MODE_CREATE | MPI_MODE_RDWR, MPI_INFO_NULL, &file) != MPI_SUCCESS);
    CHECK(MPI_File_open(comm, "io_open_one_fails.tmp", rank == at ? 0 : MPI_MODE_RDWR, MPI_INFO_NULL, &file) != MPI_SUCCESS);
  }
  file = io_open("io_open_one_fails.tmp");
  MPI_Type_contiguous(2, MPI_INT, &raw);
  for (int at = 0; at < size; at++) {
    CHECK(MPI_File_set_size(file, rank == at ? -1 : 8) != MPI_SUCCESS);
    CHECK(MPI_File_set_view(file, 0, MPI_INT, rank == at ? raw : MPI_INT, "native", MPI_INFO_NULL) != MPI_SUCCESS);
    x = value(rank, at);
    MPI_File_write_at_all(file, 4 * rank, &x, 4, MPI_BYTE, MPI_STATUS_IGNORE);
    MPI_File_read_at_all(file, 4 * rank, &y, 4, MPI_BYTE, MPI_STATUS_IGNORE);
    CHECK_INT(y, x);
  }
  MPI_Type_free(&raw);
  io_close(&file);
}

CHAPTER(io_open, &io_open_modes, &io_open_amode_errors, &io_open_subset, &io_open_append, &io_open_size, &io_open_info,
        &io_open_many, &io_open_directory, &io_open_errhandler, &io_open_sequential, &io_open_one_fails)
