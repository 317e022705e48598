/** An error as the service names it. 400 is what AWS JSON 1.1 answers for all of the caller's, 500 for the service's own. */
export class ServiceError extends Error {
  override readonly name: string;
  readonly status: number;

  constructor(name: string, message: string, status = 400) {
    super(message);
    this.name = name;
    this.status = status;
  }
}
